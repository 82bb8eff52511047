"""What a step is paid."""
