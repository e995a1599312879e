"""What is promised to others: every example holds, every refusal says why, and no version breaks."""
