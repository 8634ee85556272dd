//! As many chunks as there are cores.
pub fn parse_all(inputs: &[Input]) {
    const THREADS: usize = 4;
    std::thread::scope(|scope| {
        for worker in 0..THREADS {
            scope.spawn(move || inputs.iter().skip(worker).step_by(THREADS).for_each(Input::parse));
        }
    });
}
