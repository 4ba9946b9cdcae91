//! Load: closed (each connection asks again as soon as it has its answer) and open (requests come when they come).
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]

use super::http::{body, complete, get_request, header, split};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// How long an open load waits for its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// What one request came to.
pub(crate) struct Outcome {
    /// Which request of the plan.
    pub(crate) index: usize,
    /// From the moment it was due until its answer was complete.
    pub(crate) latency: Duration,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    /// `x-amz-function-error`, or what went wrong with the connection.
    pub(crate) error: Option<String>,
}

impl Outcome {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200 && self.error.is_none()
    }
}

/// Keeps `connections` busy with GETs of `url` for `span`. Answers a second; any answer but 200 is an error.
pub(crate) fn closed(url: &str, connections: usize, span: Duration) -> Result<f64, String> {
    let (host, path) = split(url).map_err(|e| e.to_string())?;
    let request: Rc<[u8]> = get_request(host, path).into();
    let host = host.to_owned();
    let began = Instant::now();
    let until = began + span;
    let total = on_one_thread(async move {
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (host, request) = (host.clone(), request.clone());
            tasks.push(tokio::task::spawn_local(async move {
                let mut line = Line::open(&host).await?;
                let mut answered: u32 = 0;
                while Instant::now() < until {
                    match line.exchange(&request).await? {
                        200 => answered += 1,
                        status => return Err(io::Error::other(format!("status {status}: {}", line.said()))),
                    }
                }
                Ok::<u32, io::Error>(answered)
            }));
        }
        let mut total = 0;
        for task in tasks {
            total += task.await.map_err(io::Error::other)??;
        }
        Ok::<u32, io::Error>(total)
    })?;
    Ok(f64::from(total.map_err(|e| format!("{url}: {e}"))?) / began.elapsed().as_secs_f64())
}

/// Sends request `i` of `times` when its time since the start has come, whatever became of the others. `request`
/// makes its bytes at that moment.
pub(crate) fn open(
    host: &str,
    times: &[Duration],
    request: impl Fn(usize) -> Vec<u8>,
) -> Result<Vec<Outcome>, String> {
    on_one_thread(async move {
        let idle: Rc<RefCell<Vec<Line>>> = Rc::default();
        let began = Instant::now();
        let mut tasks = Vec::with_capacity(times.len());
        for (index, at) in times.iter().enumerate() {
            let due = began + *at;
            tokio::time::sleep_until(due.into()).await;
            let (host, bytes, idle) = (host.to_owned(), request(index), idle.clone());
            tasks.push(tokio::task::spawn_local(one(index, due, (host, bytes), idle)));
        }
        let mut outcomes = Vec::with_capacity(tasks.len());
        let end = tokio::time::Instant::now() + LAST_ANSWERS;
        for (index, mut task) in tasks.into_iter().enumerate() {
            let outcome = match tokio::time::timeout_at(end, &mut task).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(why)) => missing(index, why.to_string()),
                Err(_) => {
                    task.abort();
                    missing(index, format!("no answer within {LAST_ANSWERS:?} after the last request"))
                }
            };
            outcomes.push(outcome);
        }
        outcomes
    })
}

async fn one(
    index: usize,
    due: Instant,
    (host, bytes): (String, Vec<u8>),
    idle: Rc<RefCell<Vec<Line>>>,
) -> Outcome {
    let kept = idle.borrow_mut().pop();
    match answered(kept, &host, &bytes).await {
        Ok((status, line)) => {
            let latency = due.elapsed();
            let failed = header(&line.answer, "x-amz-function-error").map(str::to_owned);
            let error = failed.or_else(|| (status != 200).then(|| line.said()));
            idle.borrow_mut().push(line);
            Outcome { index, latency, status, error }
        }
        Err(why) => missing(index, why.to_string()),
    }
}

/// Asks on a kept connection, and on a new one where the server had closed that while it was idle.
async fn answered(kept: Option<Line>, host: &str, bytes: &[u8]) -> io::Result<(u16, Line)> {
    if let Some(mut line) = kept
        && let answer = line.exchange(bytes).await
        && (answer.is_ok() || !line.answer.is_empty())
    {
        return Ok((answer?, line));
    }
    let mut line = Line::open(host).await?;
    let status = line.exchange(bytes).await?;
    Ok((status, line))
}

const fn missing(index: usize, error: String) -> Outcome {
    Outcome { index, latency: Duration::ZERO, status: 0, error: Some(error) }
}

/// A kept connection.
struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    async fn open(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4096) })
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            if let Some(status) = complete(&self.answer)? {
                return Ok(status);
            }
        }
    }

    /// The start of the last answer's body.
    fn said(&self) -> String {
        body(&self.answer).chars().take(200).collect()
    }
}

fn on_one_thread<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    Ok(LocalSet::new().block_on(&runtime, work))
}
