"""What the console command and ``tools/`` run."""
