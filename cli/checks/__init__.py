"""What `doctor` looks at: `computer` without the hub, `hub` with it; `outcome` bounds each look."""
