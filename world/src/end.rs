//! How work ends: one [`Ender`] says so, every task that holds an [`End`] hears it.

use tokio::sync::watch;

/// Ends the work of everyone who holds an [`End`] of it. Dropping it ends them too.
#[derive(Debug)]
pub struct Ender(watch::Sender<bool>);

/// Hears that work shall end.
#[derive(Debug, Clone)]
pub struct End(watch::Receiver<bool>);

impl Ender {
    /// A new ender and the first listener.
    pub fn new() -> (Self, End) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), End(receiver))
    }

    /// Says that it is over. Idempotent.
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

impl End {
    /// Returns once it is over.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|over| *over).await;
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
