//! What must hold for every generated table.

use std::collections::BTreeSet;
use wire::{Kind, Location, Resource, Shape};

fn walk(shape: &'static Shape, seen: &mut BTreeSet<&'static str>) {
    if !seen.insert(shape.name) && matches!(shape.kind, Kind::Structure(_)) {
        return;
    }
    if let Some(pattern) = shape.limits.pattern {
        assert!(wire::pattern_compiles(pattern), "{}: {pattern}", shape.name);
    }
    match &shape.kind {
        Kind::Structure(structure) => structure.fields.iter().for_each(|field| walk(field.shape, seen)),
        Kind::List(item) => walk(item.shape, seen),
        Kind::Map(key, item) => [key, item].iter().for_each(|item| walk(item.shape, seen)),
        _ => {}
    }
}

#[test]
fn patterns_compile() {
    let mut seen = BTreeSet::new();
    for operation in wire::SERVICES.iter().flat_map(|service| service.operations) {
        let ends = [operation.input, operation.output].into_iter().flatten();
        ends.chain(operation.errors.iter().copied()).for_each(|shape| walk(shape, &mut seen));
    }
    assert!(seen.len() > 100);
}

#[test]
fn labels_and_resources_name_members() {
    for operation in wire::SERVICES.iter().flat_map(|service| service.operations).filter(|row| row.served) {
        let fields = operation.input.map_or(&[][..], Shape::fields);
        for field in fields.iter().filter(|field| field.location == Location::Label) {
            assert!(operation.path.contains(&format!("{{{}", field.wire)), "{}", operation.name);
        }
        let members: &[&str] = match &operation.resource {
            Resource::Any => &[],
            Resource::Function { member } | Resource::Arn { member } => std::slice::from_ref(member),
            Resource::LogGroup { members } => members,
        };
        for member in members {
            assert!(fields.iter().any(|field| field.name == *member), "{} {member}", operation.name);
        }
        assert!(operation.action.contains(':'));
    }
}

#[test]
fn the_operations_of_this_release_are_served() {
    let served = |index: usize| wire::SERVICES[index].operations.iter().filter(|row| row.served).count();
    let counts: Vec<(&str, usize)> =
        (0..wire::SERVICES.len()).map(|index| (wire::SERVICES[index].name, served(index))).collect();
    assert_eq!(counts, [("dayfly", 7), ("lambda", 29), ("logs", 4), ("sts", 1)]);
    let total: usize = wire::SERVICES.iter().map(|service| service.operations.len()).sum();
    assert_eq!(total, 7 + 91 + 118 + 12);
}
