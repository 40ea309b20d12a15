//! The trail's index: faceted and full-text search over what the log and the activity segments hold. Derived, and rebuilt at will.
