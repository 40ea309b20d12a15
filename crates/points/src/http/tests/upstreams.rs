//! Names of upstreams, and the addresses that they lead to.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::super::forward::Resolver;

/// A name server that answers otherwise each time; after its last answer it begins again.
#[derive(Clone)]
struct Rebinding {
    answers: Vec<Vec<SocketAddr>>,
    asked: Arc<AtomicUsize>,
}

impl Rebinding {
    fn new(answers: &[&[SocketAddr]]) -> Self {
        Self { answers: answers.iter().map(|answer| answer.to_vec()).collect(), asked: Arc::default() }
    }

    async fn connect(&self) -> Result<SocketAddr, String> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(self.clone()));
        let stream = connector.call("http://rebinding.example/".parse().expect("an address")).await.map_err(
            |error| std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string),
        )?;
        Ok(stream.inner().peer_addr().expect("a peer"))
    }
}

impl Service<Name> for Rebinding {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.answers[asked % self.answers.len()].clone().into_iter()))
    }
}

#[tokio::test]
async fn a_name_that_rebinds_is_looked_up_once_and_checked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let good = listener.local_addr().expect("an address");
    let metadata: SocketAddr = "169.254.169.254:80".parse().expect("an address");
    let hidden: SocketAddr = "[::ffff:169.254.169.254]:80".parse().expect("an address");

    // First a good answer, then the cloud's metadata: what is connected to is what was looked at.
    let name = Rebinding::new(&[&[good], &[metadata]]);
    assert_eq!(name.connect().await, Ok(good));
    assert_eq!(name.asked.load(Ordering::Relaxed), 1, "a second look-up could answer otherwise");
    let refused = name.connect().await.expect_err("only metadata is left");
    assert!(refused.contains("no address at which an upstream may stand"), "{refused}");

    // Good and bad in one answer: only the good one is tried, wherever it stands.
    for answer in [[metadata, good], [good, metadata], [hidden, good]] {
        assert_eq!(Rebinding::new(&[&answer]).connect().await, Ok(good), "{answer:?}");
    }
    assert!(Rebinding::new(&[&[hidden, metadata]]).connect().await.is_err());
    assert!(Rebinding::new(&[&[]]).connect().await.is_err());
}
