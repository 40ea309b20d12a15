//! The detectors. Each looks at one text, and says where what it knows stands.

pub(crate) mod prefix;
pub(crate) mod url;
pub(crate) mod named;
pub(crate) mod wrapped;
pub(crate) mod email;
pub(crate) mod number;
pub(crate) mod card;
pub(crate) mod iban;
pub(crate) mod national;
pub(crate) mod word;
pub(crate) mod phone;
pub(crate) mod ip;
pub(crate) mod check;
