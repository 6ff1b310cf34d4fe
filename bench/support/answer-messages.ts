/** Lets the benchmark ask something of this process (see stage.ts), and ends it together with the benchmark. */
export function answerMessages<Message>(answer: (message: Message) => Promise<object>): void {
  process.on('message', (message) => {
    answer(message as Message).then(
      (value) => process.send!(value),
      (error) => {
        console.error(String(error));
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit(0));
}
