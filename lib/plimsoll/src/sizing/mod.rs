//! How large a bound should be: formulas, with units and sources.
