"""What earlier versions wrote, kept small, and read by this one."""
