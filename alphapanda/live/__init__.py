"""The live side, in Redis: everything here may be lost at any time with nothing lost."""
