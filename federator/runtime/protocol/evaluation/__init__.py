"""What an evaluation is made of: tasks, the tables that each lets out, labels."""
