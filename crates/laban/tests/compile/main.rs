//! Compiler messages are part of the interface: each common mistake of a service author, and the message it gets.

mod accepted;

#[test]
fn mistakes_get_a_message_that_names_the_fix() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
