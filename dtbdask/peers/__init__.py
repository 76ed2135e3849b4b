"""The same network on other simulators, side by side, each in an environment of its own."""
