//! A runner that counts, and holds what it is given against what it was promised.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::action::{Action, Point};
use domain::commitment::Fields;
use domain::grant::Redemption;
use domain::id::ActionId;
use domain::outcome::{Ending, Outcome, Witnessed};
use gateway::ports::{Ran, RunResult, Runner};
use gateway::store::Recorded;
use tokio::sync::Semaphore;

/// What a run answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    Live(&'static str),
    Panic,
}

pub(crate) struct CountingRunner {
    point: Point,
    runs: AtomicUsize,
    ran: Mutex<Vec<ActionId>>,
    stands: Mutex<Result<(), String>>,
    answer: Mutex<Answer>,
    when_run: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs pass while it has permits.
    gate: Semaphore,
    /// Somebody waits for whom it can run.
    awaited: AtomicBool,
}

impl CountingRunner {
    pub(crate) fn new(point: Point) -> Self {
        Self {
            point,
            runs: AtomicUsize::new(0),
            ran: Mutex::default(),
            stands: Mutex::new(Ok(())),
            answer: Mutex::new(Answer::Bytes(b"done".to_vec())),
            when_run: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            awaited: AtomicBool::new(true),
        }
    }

    /// Nobody is there for whom it could run.
    pub(crate) fn leave_alone(&self) {
        self.awaited.store(false, Ordering::SeqCst);
    }

    /// Somebody is again.
    pub(crate) fn come_back(&self) {
        self.awaited.store(true, Ordering::SeqCst);
    }

    /// How often anything was run.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// How often this was run.
    pub(crate) fn runs_of(&self, id: ActionId) -> usize {
        self.ran.lock().unwrap().iter().filter(|ran| **ran == id).count()
    }

    /// The target's definition is another now.
    pub(crate) fn target_changed(&self, why: &str) {
        *self.stands.lock().unwrap() = Err(why.to_owned());
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// At the next run this happens too.
    pub(crate) fn when_run(&self, deed: impl FnOnce() + Send + 'static) {
        *self.when_run.lock().unwrap() = Some(Box::new(deed));
    }

    /// Runs begin, and do not end.
    pub(crate) fn block(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }
}

#[async_trait]
impl Runner for CountingRunner {
    fn point(&self) -> Point {
        self.point
    }

    fn stands(&self, _: &Action) -> Result<(), String> {
        self.stands.lock().unwrap().clone()
    }

    fn is_awaited(&self, _: ActionId) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    async fn run(&self, redemption: Recorded<Redemption>, action: &Action, payload: &Fields) -> Ran {
        let redemption = redemption.into_inner();
        assert_eq!(redemption.approval(), action.id());
        assert_eq!(redemption.into_grant().action(), action.digest());
        assert_eq!(payload.root().unwrap(), action.parts().payload);
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.ran.lock().unwrap().push(action.id());
        if let Some(deed) = self.when_run.lock().unwrap().take() {
            deed();
        }
        drop(self.gate.acquire().await.unwrap());
        let answer = self.answer.lock().unwrap().clone();
        let result = match answer {
            Answer::Bytes(bytes) => RunResult::Whole(bytes),
            Answer::Live(words) => RunResult::Live(Box::new(words)),
            Answer::Panic => panic!("the runner broke"),
        };
        Ran { outcome: Outcome::new(Ending::Succeeded, Witnessed::Observed, "204"), result }
    }
}
