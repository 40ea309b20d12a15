//! Carries one session's bytes: a message is passed on only by what the session's core has said of it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Sleep, timeout};
use tokio_util::io::poll_read_buf;

use crate::cancel::{Key, Request};
use crate::config::{
    Asked, BACKLOG_BYTES, ERROR_HEAD_BYTES, FAREWELL_PATIENCE, HELD_PING, IDLE_BUFFER_BYTES, KEPT_BACK_BYTES,
    LEFT_PATIENCE, LOOK_PATIENCE, MASKED_ROW_LIMIT_BYTES, PINNED, READ_AHEAD_BYTES, READ_BYTES,
};
use crate::hold::{Decide, Onward, Permit, Verdict};
use crate::parse::{
    BACKEND_LIMIT_BYTES, Backend, FRONTEND_LIMIT_BYTES, Frontend, HEAD_BYTES, Head, Malformed,
};
use crate::permit;
use crate::places::Place;
use crate::reply::{Refusal, State};
use crate::session::{Ended, Handling, Out, Session, Step, Waiting, cancelled_by_user};
use crate::stream::{Conversation, Stream};
use crate::upstream::Server;

/// One session under way.
pub(crate) struct Carriage {
    pub(crate) client: Side,
    pub(crate) backend: Side,
    pub(crate) session: Session,
    pub(crate) out: Out,
    pub(crate) decide: Box<dyn Decide>,
    pub(crate) notices: bool,
    /// How the server is reached, and with which settings.
    pub(crate) onward: Arc<Onward>,
    pub(crate) asked: Arc<Asked>,
    /// What the server's session is cancelled with.
    pub(crate) process: u32,
    pub(crate) secret: Bytes,
    pub(crate) cancels: mpsc::Receiver<Request>,
    /// While it is here, requests to cancel arrive.
    pub(crate) _key: Key,
    pub(crate) _place: Place,
    /// Resolves when the session has to end at once, with what the client hears.
    pub(crate) ended: Option<BoxFuture<'static, Refusal>>,
    /// Resolves when the gate stops: the session ends when it does nothing.
    pub(crate) stop: Option<BoxFuture<'static, ()>>,
    pub(crate) holding: Option<Holding>,
    /// Whether the connection to the server may be given back and made anew: its credential is good more than once.
    pub(crate) leaves: bool,
    /// The connection to the server was given back while something waits.
    pub(crate) away: bool,
    /// It is made anew.
    pub(crate) returning: Option<Returning>,
    /// How long the server may still take with a question of ours.
    pub(crate) errand: Option<Patience>,
    /// The server's last message was an error: it has said why it goes.
    pub(crate) said_error: bool,
}

/// One end of the session.
pub(crate) struct Side {
    stream: Stream,
    input: BytesMut,
    /// How much of a message is passed on, or dropped, as it comes.
    passing: usize,
    passed: bool,
    /// What is passed on waits until its statement was looked at.
    kept: bool,
    unflushed: bool,
    /// There is not enough input for the next message.
    hungry: bool,
    closed: bool,
}

/// A message that waits.
pub(crate) struct Holding {
    awaited: Awaited,
    waiting: Box<Waiting>,
    ping: Pin<Box<Sleep>>,
}

/// What a message waits for.
enum Awaited {
    /// For people.
    Answer(BoxFuture<'static, Result<Permit, Refusal>>),
    /// For what is decided.
    Verdict(BoxFuture<'static, Verdict>),
}

/// The way back to the server, for what has come meanwhile.
pub(crate) struct Returning {
    server: BoxFuture<'static, Result<Server, Refusal>>,
    waiting: Box<Waiting>,
    came: Came,
}

/// What has come.
enum Came {
    Answer(Result<Permit, Refusal>),
    Verdict(Verdict),
}

/// How long the server may take.
pub(crate) struct Patience {
    end: Pin<Box<Sleep>>,
    /// It was asked to stop.
    cancelled: bool,
}

impl Carriage {
    /// Carries the session to its end.
    pub(crate) async fn run(mut self) {
        let ended = std::future::poll_fn(|cx| match self.poll(cx) {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        })
        .await;
        // Nothing waits for people any more; what was asked of them stays asked.
        drop(self.holding.take());
        self.session.forget();
        if matches!(ended, Ended::Client) && self.session.is_owed_an_end() {
            let _ = timeout(LEFT_PATIENCE, std::future::poll_fn(|cx| self.poll_end(cx))).await;
        }
        if let Some(returning) = self.returning.take() {
            returning.came.never_runs();
        }
        self.session.abandon();
        tracing::debug!(?ended, "a session ended");
        let mut words = std::mem::take(&mut self.out.client);
        match ended {
            Ended::Client => words.clear(),
            Ended::Fatal(refusal) if self.backend.passing == 0 || !self.backend.passed => {
                refusal.write_fatal(&mut words);
            }
            Ended::Fatal(_) | Ended::Server => {}
        }
        let mut goodbye = BytesMut::new();
        if !self.session.is_running() && self.out.backend.is_empty() {
            Frontend::Terminate.write(&mut goodbye);
        }
        let _ = timeout(FAREWELL_PATIENCE, async {
            let _ = self.backend.stream.write_all(&goodbye).await;
            let _ = self.backend.stream.shutdown().await;
            let _ = self.client.stream.write_all(&words).await;
            let _ = self.client.stream.shutdown().await;
        })
        .await;
    }

    /// Hears the server out, though nobody is there to be told: what it runs it runs all the same, and somebody may watch.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.out.client.clear();
            let step = (|| {
                let moved = self.answers()? | self.poll_write_backend(cx)?;
                Ok::<bool, Ended>(moved | self.backend.poll_read(cx).map_err(lost)?)
            })();
            match step {
                Ok(_) if !self.session.is_owed_an_end() => return Poll::Ready(()),
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Does all that can be done now.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            let mut moved = self.poll_others(cx)?;
            moved |= self.answers()?;
            moved |= self.requests()?;
            moved |= self.poll_write(cx)?;
            moved |= self.poll_read(cx)?;
            if !moved {
                return Ok(());
            }
        }
    }

    /// Looks at everything but the two ends' bytes.
    fn poll_others(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        if let Some(ended) = &mut self.ended
            && let Poll::Ready(refusal) = ended.as_mut().poll(cx)
        {
            self.ended = None;
            return Err(Ended::Fatal(refusal));
        }
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
        }
        let waits = self.holding.is_some() || self.returning.is_some();
        if self.stop.is_none() && !waits && self.session.is_idle() && self.client.passing == 0 {
            return Err(Ended::fatal(State::SHUTDOWN, "the gate is shutting down"));
        }
        let mut moved = false;
        while let Poll::Ready(Some(request)) = self.cancels.poll_recv(cx) {
            moved = true;
            self.cancel(request)?;
        }
        moved |= self.poll_errand(cx)?;
        moved |= self.poll_return(cx)?;
        if let Some(holding) = &mut self.holding {
            if let Poll::Ready(came) = holding.awaited.poll(cx) {
                self.settle(came)?;
                return Ok(true);
            }
            if holding.ping.as_mut().poll(cx).is_ready() {
                holding.ping = Box::pin(tokio::time::sleep(HELD_PING));
                self.ping();
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Has the server stop where it takes too long with a question of ours.
    fn poll_errand(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        if !self.session.is_on_errand() {
            self.errand = None;
            return Ok(false);
        }
        let patience = self.errand.get_or_insert_with(Patience::new);
        if patience.end.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        if patience.cancelled {
            return Err(Ended::fatal(State::CONNECTION, "the server does not answer the gate"));
        }
        self.errand = Some(Patience { cancelled: true, ..Patience::new() });
        let (upstream, process, secret) =
            (Arc::clone(&self.onward.upstream), self.process, self.secret.clone());
        tokio::spawn(async move { crate::upstream::cancel(&upstream, process, secret).await });
        Ok(true)
    }

    /// Goes on where the server was left.
    fn poll_return(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let Some(returning) = &mut self.returning else { return Ok(false) };
        let Poll::Ready(server) = returning.server.as_mut().poll(cx) else { return Ok(false) };
        let server = server.map_err(Ended::Fatal)?;
        self.backend = Side::new(server.conversation);
        (self.process, self.secret) = (server.process, server.secret);
        self.session.meets(server.settings, &mut self.out);
        if let Some(Returning { waiting, came, .. }) = self.returning.take() {
            self.go_on(*waiting, came)?;
        }
        Ok(true)
    }

    fn settle(&mut self, came: Came) -> Result<(), Ended> {
        let Some(Holding { waiting, .. }) = self.holding.take() else { return Ok(()) };
        if !self.away {
            return self.go_on(*waiting, came);
        }
        self.away = false;
        let (onward, asked) = (Arc::clone(&self.onward), Arc::clone(&self.asked));
        let server = Box::pin(async move { crate::upstream::sign_in(&onward, &asked).await });
        self.returning = Some(Returning { server, waiting, came });
        Ok(())
    }

    fn go_on(&mut self, waiting: Waiting, came: Came) -> Result<(), Ended> {
        match came {
            Came::Answer(answer) => self.session.settle(waiting, answer, &mut self.out),
            Came::Verdict(verdict) => {
                let step = self.session.decided(waiting, verdict, &mut self.out)?;
                self.follow(step);
                Ok(())
            }
        }
    }

    /// Lets go of the server while people decide, where nothing of the session's is there.
    fn leave(&mut self) {
        if !self.leaves
            || !self.session.needs_no_server()
            || self.backend.passing > 0
            || !self.backend.input.is_empty()
        {
            return;
        }
        let mut side = std::mem::replace(&mut self.backend, Side::new(Conversation::new(Stream::Gone)));
        self.away = true;
        tokio::spawn(async move {
            let mut goodbye = BytesMut::new();
            Frontend::Terminate.write(&mut goodbye);
            let _ = timeout(FAREWELL_PATIENCE, async {
                let _ = side.stream.write_all(&goodbye).await;
                let _ = side.stream.shutdown().await;
            })
            .await;
        });
    }

    fn cancel(&mut self, request: Request) -> Result<(), Ended> {
        if self.holding.is_some() {
            return self.settle(Came::Answer(Err(cancelled_by_user())));
        }
        if let Some(returning) = &mut self.returning {
            let wanted = std::mem::replace(&mut returning.came, Came::Answer(Err(cancelled_by_user())));
            wanted.never_runs();
        }
        self.session.cancel_errand();
        if self.session.is_running() {
            let (upstream, process, secret) =
                (Arc::clone(&self.onward.upstream), self.process, self.secret.clone());
            tokio::spawn(async move {
                crate::upstream::cancel(&upstream, process, secret).await;
                let _ = request.send(());
            });
        }
        Ok(())
    }

    /// Says something that changes nothing, so that whatever lies between sees the connection live.
    fn ping(&mut self) {
        let [(name, value), ..] = PINNED;
        if self.backend.passing == 0 {
            let (name, value) = (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()));
            Backend::ParameterStatus { name, value }.write(&mut self.out.client);
        }
    }

    /// Follows what the server has said.
    fn answers(&mut self) -> Result<bool, Ended> {
        let (side, mut moved) = (&mut self.backend, false);
        while self.out.client.len() < BACKLOG_BYTES {
            if side.passing > 0 {
                let to = if side.kept { &mut self.out.kept } else { &mut self.out.client };
                if !side.pass(to) {
                    break;
                }
                moved = true;
                continue;
            }
            let Some(head) = Head::read(&side.input).map_err(server)? else { break };
            if head.tag == b'E' {
                let seen = HEAD_BYTES + head.body.min(ERROR_HEAD_BYTES);
                let Some(words) = side.input.get(HEAD_BYTES..seen) else { break };
                let handling = self.session.refused(words, &mut self.out)?;
                self.said_error = true;
                side.pass_on(handling, head);
                moved = true;
                continue;
            }
            if !self.session.reads_whole(head.tag, head.body) {
                self.said_error = false;
                let handling = self.session.answer_type(head.tag, head.body, &mut self.out)?;
                side.pass_on(handling, head);
                moved = true;
                continue;
            }
            let limit = if head.tag == b'D' { MASKED_ROW_LIMIT_BYTES } else { BACKEND_LIMIT_BYTES };
            let head = head.within(limit).map_err(server)?;
            let Some(body) = side.input.get(HEAD_BYTES..HEAD_BYTES + head.body) else { break };
            let message = Backend::read(head.tag, Bytes::copy_from_slice(body)).map_err(server)?;
            side.input.advance(HEAD_BYTES + head.body);
            self.said_error = false;
            self.session.answer(&message, &mut self.out)?;
            moved = true;
        }
        if side.closed && self.out.client.len() < BACKLOG_BYTES {
            return Err(if self.said_error {
                Ended::Server
            } else {
                Ended::fatal(State::CONNECTION, "the server closed the connection")
            });
        }
        Ok(moved)
    }

    /// Follows what the client has said, as far as it may go on.
    fn requests(&mut self) -> Result<bool, Ended> {
        let mut moved = false;
        self.client.hungry = false;
        while self.holding.is_none() && self.returning.is_none() && self.out.backend.len() < BACKLOG_BYTES {
            let side = &mut self.client;
            if side.passing > 0 {
                if side.passed {
                    self.session.copies(side.here());
                }
                if !side.pass(&mut self.out.backend) {
                    side.hungry = true;
                    break;
                }
                self.out.send = true;
                moved = true;
                continue;
            }
            if self.session.has_learned() {
                let step = self.session.resume(self.decide.as_ref(), &mut self.out)?;
                self.follow(step);
                moved = true;
                continue;
            }
            if !self.session.takes_next() {
                break;
            }
            let Some(head) = Head::read(&side.input)? else {
                side.hungry = true;
                break;
            };
            moved |= match head.tag {
                b'd' => {
                    side.passed = self.session.take_copy_data(head.body)?;
                    side.passing = HEAD_BYTES;
                    side.pass(&mut self.out.backend);
                    side.passing = head.body;
                    self.out.send |= side.passed;
                    true
                }
                b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'c' | b'f' | b'F' | b'X' => {
                    let head = head.within(FRONTEND_LIMIT_BYTES)?;
                    if side.input.len() < HEAD_BYTES + head.body {
                        side.hungry = true;
                        break;
                    }
                    side.input.advance(HEAD_BYTES);
                    let message = Frontend::read(head.tag, side.input.split_to(head.body).freeze())?;
                    let step = self.session.take(message, self.decide.as_ref(), &mut self.out)?;
                    self.follow(step);
                    true
                }
                other => return Err(Malformed::Unknown(other).into()),
            };
        }
        Ok(moved)
    }

    fn follow(&mut self, step: Step) {
        let (awaited, waiting) = match step {
            Step::Done => return,
            Step::Held(held, waiting) => {
                if self.notices && self.backend.passing == 0 {
                    held.refusal.write_notice(&mut self.out.client);
                }
                self.leave();
                (Awaited::Answer(held.answer), waiting)
            }
            Step::Later(verdict, waiting) => (Awaited::Verdict(verdict), waiting),
        };
        let ping = Box::pin(tokio::time::sleep(HELD_PING));
        self.holding = Some(Holding { awaited, waiting, ping });
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let moved = self.client.poll_write(&mut self.out.client, cx).map_err(|_| Ended::Client)?;
        Ok(moved | self.poll_write_backend(cx)?)
    }

    fn poll_write_backend(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = false;
        if self.out.send || self.out.backend.len() > KEPT_BACK_BYTES {
            if !self.out.backend.is_empty() {
                self.session.sent();
            }
            moved |= self.backend.poll_write(&mut self.out.backend, cx).map_err(lost)?;
            self.out.send = !self.out.backend.is_empty() || self.backend.unflushed;
        }
        Ok(moved)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = false;
        if self.out.client.len() < BACKLOG_BYTES && !self.backend.closed {
            moved |= self.backend.poll_read(cx).map_err(lost)?;
        }
        if self.client.hungry || self.client.input.len() < READ_AHEAD_BYTES {
            moved |= self.client.poll_read(cx).map_err(|_| Ended::Client)?;
            if self.client.closed {
                return Err(Ended::Client);
            }
        }
        Ok(moved)
    }
}

impl Came {
    /// Tells whoever watches what was permitted that it does not run.
    fn never_runs(self) {
        if let Came::Answer(Ok(Permit { watch: Some(watch), .. })) = self {
            watch.ended(permit::Ended::NotRun);
        }
    }
}

impl Awaited {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        match self {
            Awaited::Answer(answer) => answer.as_mut().poll(cx).map(Came::Answer),
            Awaited::Verdict(verdict) => verdict.as_mut().poll(cx).map(Came::Verdict),
        }
    }
}

impl Patience {
    fn new() -> Patience {
        Patience { end: Box::pin(tokio::time::sleep(LOOK_PATIENCE)), cancelled: false }
    }
}

impl Side {
    pub(crate) fn new(conversation: Conversation) -> Side {
        Side {
            stream: conversation.stream,
            input: conversation.input,
            passing: 0,
            passed: false,
            kept: false,
            unflushed: false,
            hungry: false,
            closed: false,
        }
    }

    /// What becomes of the message that begins here.
    fn pass_on(&mut self, handling: Handling, head: Head) {
        self.passed = handling != Handling::Drop;
        self.kept = handling == Handling::Keep;
        self.passing = HEAD_BYTES + head.body;
    }

    /// What is here of the message that is passed on.
    fn here(&self) -> &[u8] {
        self.input.get(..self.passing.min(self.input.len())).unwrap_or_default()
    }

    /// Passes on, or drops, what is here of the message; false when nothing is.
    fn pass(&mut self, out: &mut BytesMut) -> bool {
        let count = self.passing.min(self.input.len());
        if let Some(bytes) = self.input.get(..count).filter(|_| self.passed) {
            out.extend_from_slice(bytes);
        }
        self.input.advance(count);
        self.passing -= count;
        count > 0
    }

    fn poll_write(&mut self, bytes: &mut BytesMut, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => bytes.advance(count),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(moved),
            }
            (moved, self.unflushed) = (true, true);
        }
        give_back(bytes);
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(moved)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        give_back(&mut self.input);
        self.input.reserve(READ_BYTES);
        match poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input) {
            Poll::Ready(Ok(0)) => {
                self.closed = true;
                Ok(true)
            }
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        }
    }
}

fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > IDLE_BUFFER_BYTES {
        *buffer = BytesMut::new();
    }
}

fn server(malformed: Malformed) -> Ended {
    Ended::fatal(State::CONNECTION, format!("the server does not keep to the protocol: {malformed}"))
}

fn lost(_: io::Error) -> Ended {
    Ended::fatal(State::CONNECTION, "the connection to the server was lost")
}
