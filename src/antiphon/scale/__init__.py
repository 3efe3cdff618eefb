"""From one machine to many: shards of a run, joined again; what the whole will take, from a pilot."""
