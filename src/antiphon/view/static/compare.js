// A comparison that is still being made: asks until it is there.

const EVERY = 500; // milliseconds; the server waits, too

async function look() {
  const answer = await fetch(location.href);
  if (answer.status === 202) setTimeout(look, EVERY);
  else location.reload();
}
if (document.getElementById("waiting")) setTimeout(look, EVERY);
