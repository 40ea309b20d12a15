//! The hand-made passkey, as the directory enrols it.

use domain::digest::Blob;
use domain::directory::Passkey;

pub(crate) use softkey::{HandMade as SoftPasskey, USER_PRESENT, USER_VERIFIED, options};

pub(crate) trait Enrolled {
    /// As the directory enrols it.
    fn enrolled(&self) -> Passkey;
}

impl Enrolled for SoftPasskey {
    fn enrolled(&self) -> Passkey {
        Passkey {
            credential_id: Blob(self.id.clone()),
            public_key: Blob(self.cose()),
            rp_id: self.rp_id.clone(),
            origin: self.origin.clone(),
            label: "laptop".to_owned(),
        }
    }
}
