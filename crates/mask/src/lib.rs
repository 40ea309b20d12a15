//! What people, cards, logs and exports see of a payload: detectors of secrets and personal data, and masking by rules.
