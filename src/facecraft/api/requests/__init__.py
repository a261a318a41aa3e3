"""What requests bring: bodies read under limits, forms made from options, and headers that change how is answered."""
