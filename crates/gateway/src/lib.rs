//! The gateway: one action's way from arrival to receipt.
//!
//! The files stand in the order of the way: [`admit`] (who and what), [`decide`] (policy answers),
//! [`hold`] (people are asked, the caller waits), [`review`] (a human signs), [`redeem`] (policy is asked again and the
//! approval is spent), [`run`] (exactly the approved bytes), [`seal`] (what came of it), [`receipt`] (the proof), [`later`] (where glass was
//! broken, somebody looks at it afterwards). Beside
//! the way stand [`activity`] (permits, in hashed segments), [`report`] (what others say that they did), [`change`] (the
//! directory, changed by the same way), [`people`] (sessions and passkeys) and [`sweep`] (expiry, and what a restart
//! finds). [`click`] and [`links`] take what is clicked in accounts elsewhere, [`deliveries`] says where requests were brought. [`reveal`] masks what people see, and opens it; [`backup`] copies the store.
//!
//! [`ports`] are what others implement: the points that run bytes, the randomness, and the store.

pub mod admit;
pub mod decide;
pub mod hold;
pub mod review;
pub mod redeem;
pub mod run;
pub mod seal;
pub mod receipt;
pub mod later;

pub mod activity;
pub mod backup;
pub mod card;
pub mod change;
pub mod click;
pub mod deliveries;
pub mod links;
pub mod people;
pub mod report;
pub mod reveal;
pub mod risk;
pub mod sweep;

pub mod limits;
pub mod ports;

mod aged;
mod error;
mod house;
mod leaves;

pub use error::GatewayError;
pub use house::{Gateway, Parts, Settings};

// What a point, the console and the binary need of the rooms below, so that they import the gateway alone.
pub use identity;
pub use policy;
pub use store;
