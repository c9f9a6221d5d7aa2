"""Where the processes of a run come from, and the plan that tells them what to do."""
