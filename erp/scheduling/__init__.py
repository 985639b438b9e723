"""Work by the clock: a tenant's schedules and their runs, and the operator's view of the system's own tasks."""
