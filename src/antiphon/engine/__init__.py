"""Where tokens come from: models in process, servers, a script; `base` is what all of them promise."""
