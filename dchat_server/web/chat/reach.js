// Getting at a message that lies further up than what is loaded.

const PATIENCE_MS = 15_000;
const PAUSE_MS = 50;

/** Load older pages of an open transcript until `seq` is among its messages; false when it is not there, or too far up
 * to be had in time. Throws ChatError when the server does not give them. */
export async function reach(client, transcript, seq) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (transcript.get(seq)) return true;
    if (transcript.state === "failed") throw transcript.error;
    if (transcript.state === "loading" || transcript.loadingOlder) await pause();
    else if (!transcript.hasOlder || transcript.first <= seq) return false;
    else await client.older(transcript.room);
  }
  return false;
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
