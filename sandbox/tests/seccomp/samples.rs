//! Arguments worth asking about: each value that a verdict names, its neighbours, and the same with upper
//! bits set.

use sandbox::seccomp::Verdict;

const PLAIN: [u64; 3] = [0, 1, u64::MAX];

/// Argument lists for a verdict: the product over its arguments of all values of interest.
pub fn arguments(verdict: Verdict) -> Vec<[u64; 6]> {
    let Verdict::ByArguments(clauses, _) = verdict else {
        return PLAIN.iter().map(|&value| [value; 6]).collect();
    };
    let mut lists = vec![[0; 6]];
    for argument in 0..6 {
        let tests = clauses.iter().flat_map(|clause| clause.when).filter(|test| test.argument == argument);
        let mut values: Vec<u64> = tests.flat_map(|test| interesting(test.mask, test.any_of)).collect();
        if values.is_empty() {
            continue;
        }
        values.extend(PLAIN);
        values.sort_unstable();
        values.dedup();
        lists = product(&lists, usize::from(argument), &values);
    }
    lists
}

fn interesting(mask: u32, any_of: &[u32]) -> Vec<u64> {
    const UPPER: u64 = 0x1_0000_0000;
    let mut values = Vec::new();
    for &value in any_of {
        let near = [value, value.wrapping_add(1), value.wrapping_sub(1), value | !mask];
        values.extend(near.map(u64::from));
        values.push(u64::from(value) | UPPER);
    }
    if mask != u32::MAX {
        values.extend((0..32).map(|bit| 1 << bit));
    }
    values
}

fn product(lists: &[[u64; 6]], argument: usize, values: &[u64]) -> Vec<[u64; 6]> {
    let with = |list: &[u64; 6], value: u64| {
        let mut list = *list;
        list[argument] = value;
        list
    };
    lists.iter().flat_map(|list| values.iter().map(move |&value| with(list, value))).collect()
}
