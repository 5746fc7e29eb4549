"""Training of the networks that ship: data, nets, loop, export, parity, registration. The only room with torch."""
