"""What stands under the picture in each mode."""
