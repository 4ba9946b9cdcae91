//! Which calls led to a call, so that a function that calls itself without end is stopped.
//!
//! A request that comes from an instance, as its credentials or its door prove, descends from the calls that the instance
//! serves, or from the last one where it serves none. Nothing that the function sends or leaves out changes that. Where
//! an instance serves several calls, it counts as coming from the one that has come round most often.

use crate::answer::Refused;
use model::FunctionName;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// How often a function may appear among the calls that led to one of its own.
const MOST: usize = model::limit("recursion") as usize;

/// A call and those that led to it.
#[derive(Debug)]
pub(crate) struct Line {
    function: FunctionName,
    parent: Option<Arc<Line>>,
}

/// What the instances serve, by the id that their credentials carry.
#[derive(Debug, Default)]
pub(crate) struct Lineage(HashMap<String, Served>);

#[derive(Debug, Default)]
struct Served {
    running: Vec<Weak<Line>>,
    last: Option<Arc<Line>>,
}

impl Line {
    /// How often a function appears.
    fn count(&self, function: &FunctionName) -> usize {
        std::iter::successors(Some(self), |line| line.parent.as_deref())
            .filter(|line| line.function == *function)
            .count()
    }
}

impl Lineage {
    /// The line of a call that comes `from` an instance, or from elsewhere.
    ///
    /// # Errors
    /// [`Refused::Looped`]: the function has come round too often.
    pub(crate) fn of(&self, from: &str, function: &FunctionName) -> Result<Arc<Line>, Refused> {
        let parent = self.0.get(from).and_then(|served| served.parent(function));
        if parent.as_ref().is_some_and(|parent| parent.count(function) >= MOST) {
            return Err(Refused::Looped);
        }
        Ok(Arc::new(Line { function: function.clone(), parent }))
    }

    /// An instance is given a call.
    pub(crate) fn given(&mut self, instance: &str, line: &Arc<Line>) {
        let served = self.0.entry(instance.to_owned()).or_default();
        served.running.retain(|running| running.strong_count() > 0);
        served.running.push(Arc::downgrade(line));
        served.last = Some(Arc::clone(line));
    }

    /// Nothing is left of an instance.
    pub(crate) fn gone(&mut self, instance: &str) {
        self.0.remove(instance);
    }
}

impl Served {
    fn parent(&self, function: &FunctionName) -> Option<Arc<Line>> {
        let running = self.running.iter().filter_map(Weak::upgrade);
        running.max_by_key(|line| line.count(function)).or_else(|| self.last.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FunctionName {
        FunctionName::parse(text).expect("a good name")
    }

    #[test]
    fn check_137_a_function_comes_round_sixteen_times() {
        for (circle, most) in [(&["f"][..], 16), (&["f", "g"], 32), (&["f", "g", "h"], 48)] {
            let (mut lineage, mut calls) = (Lineage::default(), Vec::new());
            let mut from = String::new();
            let stopped = circle.iter().cycle().find_map(|function| {
                let line = match lineage.of(&from, &name(function)) {
                    Ok(line) => line,
                    Err(refused) => return Some(refused),
                };
                from = format!("i-{}", calls.len());
                lineage.given(&from, &line);
                calls.push(line);
                None
            });
            assert_eq!((stopped, calls.len()), (Some(Refused::Looped), most), "{circle:?}");
            lineage.of("", &name("f")).expect("a new line may begin");
        }
    }

    #[test]
    fn an_instance_that_serves_several_counts_as_the_one_that_came_round_most() {
        let (mut lineage, f) = (Lineage::default(), name("f"));
        let first = lineage.of("", &f).expect("the first");
        lineage.given("i", &first);
        let second = lineage.of("i", &f).expect("the second");
        assert_eq!(second.count(&f), 2);
        lineage.given("i", &second);
        let other = lineage.of("", &f).expect("from outside");
        lineage.given("i", &other);
        assert_eq!(lineage.of("i", &f).expect("below the second").count(&f), 3);
        drop(second);
        assert_eq!(lineage.of("i", &f).expect("below the first or the other").count(&f), 2);
        drop((first, other));
        assert_eq!(lineage.of("i", &f).expect("what it left behind").count(&f), 2);
        lineage.gone("i");
        assert_eq!(lineage.of("i", &f).expect("nobody knows it").count(&f), 1);
    }
}
