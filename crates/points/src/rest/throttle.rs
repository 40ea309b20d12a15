//! How often what asks for no credential may be tried, by one peer and by all together. Each try either leaves
//! something in the store until it lapses, or has a secret checked; both are dear to whoever is flooded.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::config::{ALL_TRIES_AT_ONCE, ALL_TRY_EVERY, PEER_TRIES_AT_ONCE, PEER_TRY_EVERY, PEERS_REMEMBERED};
use super::reply::Problem;
use crate::peer::Peer;

/// What anybody may knock at. A flood at one door leaves the others open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Signing in with a passkey.
    SignIn,
    /// Enrolling by an invitation.
    Enrolment,
    /// The command line's sign-in.
    CommandLine,
    /// Trading an agent's assertion for a token.
    Token,
}

/// Which tries count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Every one: each leaves a challenge or a code in the store.
    Each,
    /// Those that are refused. Agents behind one address that trade good assertions are never in each other's way.
    Refused,
}

/// Every operation that changes something and asks for no credential. A test holds this list against the document.
pub(super) const DOORS: [(&str, Door, Counted); 7] = [
    ("/v1/login/options", Door::SignIn, Counted::Each),
    ("/v1/login", Door::SignIn, Counted::Refused),
    ("/v1/enrolment/options", Door::Enrolment, Counted::Each),
    ("/v1/enrolment", Door::Enrolment, Counted::Refused),
    ("/v1/cli-logins", Door::CommandLine, Counted::Each),
    ("/v1/cli-logins/poll", Door::CommandLine, Counted::Refused),
    ("/v1/token", Door::Token, Counted::Refused),
];

/// Lets a try in or answers 429. This comes before anything of the body is read.
pub(super) async fn at_the_door(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let found = DOORS.iter().find(|(at, _, _)| path == Some(at) && request.method() == Method::POST);
    let Some(&(_, door, counted)) = found else { return next.run(request).await };
    let ConnectInfo(address) = request.extensions().get().copied().unwrap_or(NOBODY_KNOWN);
    let peer = app.trusted_proxies.peer(address, request.headers());
    let tries = app.throttle.of(door);
    let allowed = match counted {
        Counted::Each => tries.take(peer, Instant::now()),
        Counted::Refused => tries.ask(peer, Instant::now()),
    };
    if let Err(too_many) = allowed {
        return refuse(door, too_many);
    }
    let response = next.run(request).await;
    if counted == Counted::Refused && response.status().is_client_error() {
        // Where it is one too many, the next try hears so.
        let _ = tries.take(peer, Instant::now());
    }
    response
}

/// Where a request comes from that no server put an address to: all of those are one peer.
const NOBODY_KNOWN: ConnectInfo<SocketAddr> =
    ConnectInfo(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

fn refuse(door: Door, too_many: TooMany) -> Response {
    let (by, who) = match too_many.by {
        By::Peer => ("peer", "too many tries came from your network"),
        By::All => ("all", "too many tries come in from everywhere"),
    };
    metrics::counter!("countersign_tries_refused_total", "door" => door.word(), "by" => by).increment(1);
    let seconds = too_many.wait.as_secs() + u64::from(too_many.wait.subsec_nanos() > 0);
    let detail = format!("{who}; wait {seconds} s and try again");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-tries", detail).retry_after(seconds);
    match door {
        Door::SignIn | Door::Enrolment | Door::CommandLine => problem.into_response(),
        // For clients that read OAuth's own words (RFC 6749, section 5.2) and nothing else.
        Door::Token => problem
            .with("error", "temporarily_unavailable")
            .with("error_description", format!("{who}; retry"))
            .into_response(),
    }
}

impl Door {
    fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Enrolment => "enrolment",
            Self::CommandLine => "command-line",
            Self::Token => "token",
        }
    }
}

/// The tries at every door.
#[derive(Debug)]
pub(super) struct Throttle {
    sign_in: Tries,
    enrolment: Tries,
    command_line: Tries,
    token: Tries,
}

impl Throttle {
    pub(super) fn new() -> Self {
        let tries = || Tries::new(PEER, ALL, PEERS_REMEMBERED);
        Self { sign_in: tries(), enrolment: tries(), command_line: tries(), token: tries() }
    }

    fn of(&self, door: Door) -> &Tries {
        match door {
            Door::SignIn => &self.sign_in,
            Door::Enrolment => &self.enrolment,
            Door::CommandLine => &self.command_line,
            Door::Token => &self.token,
        }
    }
}

const PEER: Rate = Rate { at_once: PEER_TRIES_AT_ONCE, every: PEER_TRY_EVERY };
const ALL: Rate = Rate { at_once: ALL_TRIES_AT_ONCE, every: ALL_TRY_EVERY };

/// A token bucket: so many at once, and one more whenever so much time has gone by.
#[derive(Debug, Clone, Copy)]
struct Rate {
    at_once: u32,
    every: Duration,
}

impl Rate {
    /// When the bucket is full again after one more try now, or how long to wait for that try. `full_at` is when it
    /// would be full with nothing taken: all that a bucket has to remember (the generic cell rate algorithm, ITU-T I.371).
    fn next(self, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let full_at = full_at.map_or(now, |at| at.max(now)) + self.every;
        let ahead = full_at.duration_since(now);
        let most = self.every * self.at_once;
        if ahead <= most { Ok(full_at) } else { Err(ahead - most) }
    }
}

/// A try too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooMany {
    /// Until when the next may come, from now.
    wait: Duration,
    by: By,
}

/// Whose tries were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Peer,
    All,
}

/// The tries at one door.
#[derive(Debug)]
struct Tries {
    peer: Rate,
    all: Rate,
    /// The most peers that are remembered.
    remembered: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// When each peer's bucket is full again. One that is full is like one that is not there.
    peers: HashMap<Network, Instant>,
    all: Option<Instant>,
}

impl Tries {
    fn new(peer: Rate, all: Rate, remembered: usize) -> Self {
        Self { peer, all, remembered, kept: Mutex::default() }
    }

    /// Whether one more try would be let in. Nothing is taken.
    fn ask(&self, peer: Peer, now: Instant) -> Result<(), TooMany> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.both(&kept, Network::of(peer), now).map(|_| ())
    }

    /// Takes one try. One that is refused takes nothing: a peer that floods uses up its own and nobody else's.
    fn take(&self, peer: Peer, now: Instant) -> Result<(), TooMany> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Network::of(peer);
        let (of_peer, of_all) = self.both(&kept, network, now)?;
        if kept.peers.len() >= self.remembered && !kept.peers.contains_key(&network) {
            kept.peers.retain(|_, full_at| *full_at > now);
            if kept.peers.len() >= self.remembered {
                return Err(TooMany { wait: self.peer.every, by: By::All });
            }
        }
        kept.peers.insert(network, of_peer);
        kept.all = Some(of_all);
        Ok(())
    }

    fn both(&self, kept: &Kept, network: Network, now: Instant) -> Result<(Instant, Instant), TooMany> {
        let by = |by| move |wait| TooMany { wait, by };
        let of_peer = self.peer.next(kept.peers.get(&network).copied(), now).map_err(by(By::Peer))?;
        let of_all = self.all.next(kept.all, now).map_err(by(By::All))?;
        Ok((of_peer, of_all))
    }
}

/// What counts as one peer: an IPv4 address, or a whole /64 of IPv6, which one customer has to themself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u64),
}

impl Network {
    fn of(Peer(address): Peer) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn v4(number: u32) -> Peer {
        Peer(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn tries() -> Tries {
        Tries::new(PEER, ALL, PEERS_REMEMBERED)
    }

    /// How many of so many tries in one moment are let in.
    fn let_in(tries: &Tries, peer: Peer, now: Instant, asked: u32) -> u32 {
        (0..asked).map(|_| u32::from(tries.take(peer, now).is_ok())).sum()
    }

    #[test]
    fn a_peer_has_so_many_tries_and_gets_more_with_time() {
        let (tries, now) = (tries(), Instant::now());
        assert_eq!(let_in(&tries, v4(1), now, PEER_TRIES_AT_ONCE * 2), PEER_TRIES_AT_ONCE);
        let refused = tries.ask(v4(1), now).unwrap_err();
        assert_eq!(refused, TooMany { wait: PEER_TRY_EVERY, by: By::Peer });
        assert!(tries.ask(v4(1), now + refused.wait).is_ok(), "what it is told to wait is enough");
        assert_eq!(let_in(&tries, v4(1), now + PEER_TRY_EVERY * 5, 100), 5);
        let later = now + PEER_TRY_EVERY * (PEER_TRIES_AT_ONCE + 100);
        assert_eq!(let_in(&tries, v4(1), later, PEER_TRIES_AT_ONCE * 2), PEER_TRIES_AT_ONCE);
    }

    #[test]
    fn one_peers_flood_takes_nothing_from_the_others() {
        let (tries, now) = (tries(), Instant::now());
        let_in(&tries, v4(1), now, 1_000_000);
        assert_eq!(let_in(&tries, v4(2), now, PEER_TRIES_AT_ONCE), PEER_TRIES_AT_ONCE);
    }

    #[test]
    fn asking_takes_nothing() {
        let (tries, now) = (tries(), Instant::now());
        assert!((0..10_000).all(|_| tries.ask(v4(1), now).is_ok()));
        assert_eq!(let_in(&tries, v4(1), now, 100), PEER_TRIES_AT_ONCE);
    }

    #[test]
    fn all_peers_together_are_limited_too() {
        let (tries, now) = (tries(), Instant::now());
        let entered: u32 = (0..100_000).map(|peer| let_in(&tries, v4(peer), now, 1)).sum();
        assert_eq!(entered, ALL_TRIES_AT_ONCE);
        assert_eq!(tries.ask(v4(1_000_000), now).unwrap_err().by, By::All);
        assert!(tries.ask(v4(1_000_000), now + ALL_TRY_EVERY).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let (tries, now) = (tries(), Instant::now());
        let v6 = |net, host| Peer(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, host, 0, 0, 1)));
        let entered: u32 = (0..1_000).map(|host| let_in(&tries, v6(1, host), now, 1)).sum();
        assert_eq!(entered, PEER_TRIES_AT_ONCE);
        assert_eq!(let_in(&tries, v6(2, 0), now, 1), 1);
        // An IPv4 address in IPv6's clothes is itself.
        let mapped = Peer(IpAddr::V6(Ipv4Addr::from_bits(7).to_ipv6_mapped()));
        assert_eq!(let_in(&tries, mapped, now, 100) + let_in(&tries, v4(7), now, 100), PEER_TRIES_AT_ONCE);
    }

    #[test]
    fn a_full_table_refuses_newcomers_and_keeps_those_it_knows() {
        let tries = Tries::new(PEER, Rate { at_once: 1_000_000, every: ALL_TRY_EVERY }, 8);
        let now = Instant::now();
        for peer in 0..8 {
            assert_eq!(let_in(&tries, v4(peer), now, 10), 10);
        }
        assert_eq!(tries.take(v4(8), now).unwrap_err().by, By::All);
        assert!(tries.take(v4(0), now).is_ok());
        assert_eq!(let_in(&tries, v4(8), now + PEER_TRY_EVERY * 10, 1), 1, "room comes with time");
        assert!(tries.kept.lock().unwrap().peers.len() <= 8);
    }

    #[test]
    fn the_table_has_room_for_all_that_the_common_limit_lets_in() {
        // A peer is remembered for one interval a try: the most are remembered when each try is another's.
        let (tries, start) = (tries(), Instant::now());
        let mut peer = 0;
        for step in 0..5_000 {
            let now = start + ALL_TRY_EVERY * step;
            while tries.ask(v4(peer), now).is_ok() {
                tries.take(v4(peer), now).unwrap();
                peer += 1;
            }
            assert!(tries.kept.lock().unwrap().peers.len() <= PEERS_REMEMBERED);
        }
        assert!(peer >= ALL_TRIES_AT_ONCE + 4_999, "{peer} were let in");
    }

    proptest! {
        /// In whatever order and pace they come, no peer has more than its tries, nor have all together.
        #[test]
        fn nobody_has_more_than_their_rate(steps in prop::collection::vec((0..4_u32, 0..400_u64), 1..400)) {
            let all = Rate { at_once: 100, every: Duration::from_millis(50) };
            let (tries, start) = (Tries::new(PEER, all, 64), Instant::now());
            let (mut now, mut of_peer, mut of_all) = (start, [0_u32; 4], 0_u32);
            for (peer, pause) in steps {
                now += Duration::from_millis(pause);
                let entered = let_in(&tries, v4(peer), now, 3);
                of_peer[peer as usize] += entered;
                of_all += entered;
                let most = |rate: Rate| {
                    let more = now.duration_since(start).as_nanos() / rate.every.as_nanos();
                    rate.at_once + u32::try_from(more).unwrap()
                };
                prop_assert!(of_peer[peer as usize] <= most(PEER));
                prop_assert!(of_all <= most(all));
            }
        }
    }
}
