"""What every adapter must do, as tests to inherit."""
