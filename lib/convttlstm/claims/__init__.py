"""The paper's claims: what it says, what was measured, how they compare, and the verdict."""
