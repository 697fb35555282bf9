//! A stored state as a tree of values, to be damaged one by one.

use serde_json::{Value, json};

/// Pointers to every value that holds no others, and to every list.
pub(crate) fn leaves(tree: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    collect(tree, String::new(), &mut pointers);
    pointers
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => pointers.push(pointer),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, format!("{pointer}/{index}"), pointers);
            }
            pointers.push(pointer);
        }
        Value::Object(values) => {
            for (key, value) in values {
                collect(value, format!("{pointer}/{key}"), pointers);
            }
        }
    }
}

/// Whether the pointer is to the version of the layout.
pub(crate) fn is_version(pointer: &str) -> bool {
    pointer == "/version"
}

/// What might stand there instead: neighbours, ends of ranges, other kinds of value.
pub(crate) fn other_values(tree: &Value, pointer: &str) -> Vec<Value> {
    let value = tree.pointer(pointer).expect("the pointer is of this tree");
    let mut others = match value {
        Value::Null => [0, 1, 3, u64::MAX].map(Value::from).into(),
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => {
            let number = number.as_u64().expect("the state holds whole numbers");
            let ends = [0, 1, u64::from(u32::MAX), u64::MAX / 2, u64::MAX];
            let all = ends.into_iter().chain([number.wrapping_add(1), number.wrapping_sub(1)]);
            all.map(Value::from).chain([Value::Null]).collect()
        }
        Value::String(text) => vec![json!(format!("{text}x")), json!(""), json!(text.to_uppercase()), Value::Null],
        Value::Array(values) => {
            let shorter = values.split_last().map(|(_, rest)| json!(rest));
            let doubled = values.last().map(|last| json!([values.as_slice(), std::slice::from_ref(last)].concat()));
            shorter.into_iter().chain(doubled).collect()
        }
        Value::Object(_) => Vec::new(),
    };
    others.retain(|other| other != value);
    others
}
