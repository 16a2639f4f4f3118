"""What every call walks through, in one named, ordered list."""
