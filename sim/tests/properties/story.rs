use crate::operation::Operation;
use crate::rules::Rules;
pub(crate) fn to_scenario(_: &str, _: Rules, _: &[Operation]) -> String {
    String::new()
}
