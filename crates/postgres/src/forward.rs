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
    BACKLOG_BYTES, FAREWELL_PATIENCE, HELD_PING, IDLE_BUFFER_BYTES, KEPT_BACK_BYTES, PINNED,
    READ_AHEAD_BYTES, READ_BYTES, Upstream,
};
use crate::hold::{Decide, Held, Permit};
use crate::parse::{
    BACKEND_LIMIT_BYTES, Backend, FRONTEND_LIMIT_BYTES, Frontend, HEAD_BYTES, Head, Malformed,
};
use crate::reply::{Refusal, State};
use crate::session::{Ended, Handling, Out, Session, Step, Waiting, is_read_whole};
use crate::stream::{Conversation, Stream};

/// One session under way.
pub(crate) struct Carriage {
    pub(crate) client: Side,
    pub(crate) backend: Side,
    pub(crate) session: Session,
    pub(crate) out: Out,
    pub(crate) decide: Box<dyn Decide>,
    pub(crate) notices: bool,
    /// What the server's session is cancelled with.
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) process: u32,
    pub(crate) secret: Bytes,
    pub(crate) cancels: mpsc::Receiver<Request>,
    /// While it is here, requests to cancel arrive.
    pub(crate) _key: Key,
    /// Resolves when the session has to end at once, with what the client hears.
    pub(crate) ended: Option<BoxFuture<'static, Refusal>>,
    /// Resolves when the gate stops: the session ends when it does nothing.
    pub(crate) stop: Option<BoxFuture<'static, ()>>,
    pub(crate) holding: Option<Holding>,
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
    unflushed: bool,
    /// There is not enough input for the next message.
    hungry: bool,
    closed: bool,
}

/// A message that waits for people.
pub(crate) struct Holding {
    answer: BoxFuture<'static, Result<Permit, Refusal>>,
    waiting: Box<Waiting>,
    ping: Pin<Box<Sleep>>,
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
        if self.stop.is_none() && self.holding.is_none() && self.session.is_idle() && self.client.passing == 0
        {
            return Err(Ended::fatal(State::SHUTDOWN, "the gate is shutting down"));
        }
        let mut moved = false;
        while let Poll::Ready(Some(request)) = self.cancels.poll_recv(cx) {
            moved = true;
            self.cancel(request)?;
        }
        if let Some(holding) = &mut self.holding {
            if let Poll::Ready(answer) = holding.answer.as_mut().poll(cx) {
                self.settle(answer)?;
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

    fn settle(&mut self, answer: Result<Permit, Refusal>) -> Result<(), Ended> {
        match self.holding.take() {
            Some(holding) => self.session.settle(*holding.waiting, answer, &mut self.out),
            None => Ok(()),
        }
    }

    fn cancel(&mut self, request: Request) -> Result<(), Ended> {
        if self.holding.is_some() {
            let refusal = Refusal::new(State::CANCELLED, "canceling statement due to user request");
            return self.settle(Err(refusal));
        }
        if self.session.is_running() {
            let (upstream, process, secret) = (Arc::clone(&self.upstream), self.process, self.secret.clone());
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
                if !side.pass(&mut self.out.client) {
                    break;
                }
                moved = true;
                continue;
            }
            let Some(head) = Head::read(&side.input).map_err(server)? else { break };
            if !is_read_whole(head.tag) {
                self.said_error = head.tag == b'E';
                side.passed = self.session.answer_type(head.tag, &mut self.out)? == Handling::Pass;
                side.passing = HEAD_BYTES + head.body;
                moved = true;
                continue;
            }
            let head = head.within(BACKEND_LIMIT_BYTES).map_err(server)?;
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
        while self.holding.is_none() && self.out.backend.len() < BACKLOG_BYTES {
            let side = &mut self.client;
            if side.passing > 0 {
                if !side.pass(&mut self.out.backend) {
                    side.hungry = true;
                    break;
                }
                self.out.send = true;
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
                    side.passing = HEAD_BYTES + head.body;
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
                    match self.session.take(message, self.decide.as_ref(), &mut self.out)? {
                        Step::Done => {}
                        Step::Held(held, waiting) => self.hold(held, waiting),
                    }
                    true
                }
                other => return Err(Malformed::Unknown(other).into()),
            };
        }
        Ok(moved)
    }

    fn hold(&mut self, held: Held, waiting: Box<Waiting>) {
        if self.notices && self.backend.passing == 0 {
            held.refusal.write_notice(&mut self.out.client);
        }
        let ping = Box::pin(tokio::time::sleep(HELD_PING));
        self.holding = Some(Holding { answer: held.answer, waiting, ping });
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut moved = self.client.poll_write(&mut self.out.client, cx).map_err(|_| Ended::Client)?;
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

impl Side {
    pub(crate) fn new(conversation: Conversation) -> Side {
        Side {
            stream: conversation.stream,
            input: conversation.input,
            passing: 0,
            passed: false,
            unflushed: false,
            hungry: false,
            closed: false,
        }
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
