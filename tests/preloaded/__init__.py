"""Commands without the seconds that their imports take: forked off a process that has imported everything."""
