//! What leaves the house as evidence: bundles for auditors, events for other systems, and the sinks that carry them.
