"""Training of the infant landmarks: quality, cord and CSF as flags of the whole frame."""
