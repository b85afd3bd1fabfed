"""Digits: handwritten digits of 8 x 8 pixels, and the convolutional net that reads them."""
