// Emoji by name: for `:name:` while writing, and for the picker. The first six are offered for reactions at once.

const TABLE = `
👍 +1 thumbsup yes|❤️ heart love|😂 joy laugh|🎉 tada party|👀 eyes look|✅ check done
😀 grinning|😃 smiley|😄 smile happy|😁 grin|😅 sweat_smile|🤣 rofl|🙂 slight_smile|🙃 upside_down|😉 wink|😊 blush
😇 innocent|🥰 smiling_hearts|😍 heart_eyes|🤩 star_struck|😘 kiss|😋 yum|😜 stuck_out_tongue|🤪 zany|🤑 money_mouth
🤗 hug|🤭 oops|🤫 shush|🤔 thinking|🤐 zipper_mouth|🤨 raised_eyebrow|😐 neutral|😑 expressionless|😶 no_mouth
😏 smirk|😒 unamused|🙄 eye_roll|😬 grimacing|🤥 lying|😌 relieved|😔 pensive|😪 sleepy|😴 sleeping|😷 mask
🤒 sick|🤕 hurt|🤢 nauseated|🤮 vomiting|🤧 sneezing|🥵 hot|🥶 cold|🥴 woozy|😵 dizzy|🤯 mind_blown|🤠 cowboy
🥳 partying|😎 cool sunglasses|🤓 nerd|🧐 monocle|😕 confused|😟 worried|🙁 frown|😮 open_mouth wow|😯 hushed
😲 astonished|😳 flushed|🥺 pleading|😦 frowning|😨 fearful|😰 anxious|😢 cry|😭 sob|😱 scream|😖 confounded
😣 persevere|😞 disappointed|😓 sweat|😩 weary|😫 tired|🥱 yawning|😤 triumph|😡 rage|😠 angry|🤬 swearing
😈 smiling_imp|💀 skull|💩 poop|🤡 clown|👻 ghost|👽 alien|🤖 robot|😺 smiley_cat|🙈 see_no_evil|🙉 hear_no_evil
🙊 speak_no_evil|💋 lips|💯 100 hundred|💥 boom|💫 dizzy_star|💦 splash|💨 dash|💤 zzz|👋 wave hello|✋ raised_hand
👌 ok_hand|🤌 pinched|✌️ victory|🤞 crossed_fingers|🤟 love_you|🤘 rock|🤙 call_me|👈 left|👉 right|👆 up|👇 down
👎 -1 thumbsdown no|✊ fist|👊 punch|👏 clap|🙌 raised_hands|👐 open_hands|🤝 handshake|🙏 pray thanks|✍️ writing
💪 muscle|🧠 brain|👁️ eye|👶 baby|🧑 person|🤷 shrug|🤦 facepalm|🙋 raising_hand|💁 tipping|🙇 bow|🏃 running
💃 dancer|🕺 dancing|🧡 orange_heart|💛 yellow_heart|💚 green_heart|💙 blue_heart|💜 purple_heart|🖤 black_heart
🤍 white_heart|💔 broken_heart|💕 two_hearts|💖 sparkling_heart|🐶 dog|🐱 cat|🐭 mouse|🐰 rabbit|🦊 fox|🐻 bear
🐼 panda|🐨 koala|🐯 tiger|🦁 lion|🐮 cow|🐷 pig|🐸 frog|🐵 monkey|🐔 chicken|🐧 penguin|🐦 bird|🦉 owl|🦄 unicorn
🐝 bee|🐛 bug|🦋 butterfly|🐢 turtle|🐍 snake|🐙 octopus|🐬 dolphin|🐳 whale|🦀 crab|🌵 cactus|🌲 tree|🍀 clover
🌹 rose|🌻 sunflower|🌸 blossom|🌍 earth|🌙 moon|⭐ star|🌟 glowing_star|✨ sparkles|⚡ zap|🔥 fire|🌈 rainbow
☀️ sun|⛅ cloud|🌧️ rain|❄️ snow|☃️ snowman|🌊 ocean|🍎 apple|🍌 banana|🍉 watermelon|🍇 grapes|🍓 strawberry
🍑 peach|🍍 pineapple|🥑 avocado|🍅 tomato|🥕 carrot|🌽 corn|🍞 bread|🧀 cheese|🥚 egg|🥓 bacon|🍔 burger|🍟 fries
🍕 pizza|🌭 hotdog|🌮 taco|🥗 salad|🍜 ramen|🍣 sushi|🍦 ice_cream|🍩 donut|🍪 cookie|🎂 birthday cake|🍫 chocolate
🍿 popcorn|☕ coffee|🍵 tea|🍺 beer|🍻 cheers|🍷 wine|🍸 cocktail|🥂 clink|⚽ soccer|🏀 basketball|🏈 football
🎾 tennis|🏆 trophy|🥇 gold|🥈 silver|🥉 bronze|🎯 dart|🎮 game|🎲 dice|🎨 art|🎵 music|🎸 guitar|🎹 piano|🎤 mic
🎧 headphones|🎬 movie|🚗 car|🚕 taxi|🚌 bus|🚲 bike|✈️ plane|🚀 rocket|⛵ boat|🚂 train|🏠 house|🏢 office
🏖️ beach|⛰️ mountain|🗺️ map|⌚ watch|📱 phone|💻 laptop|🖥️ computer|🖨️ printer|💾 floppy|📷 camera|📺 tv|🔋 battery
💡 bulb idea|🔦 flashlight|📚 books|📖 book|📝 memo|✏️ pencil|📌 pin|📎 paperclip|📦 package|📧 email|📅 calendar
📈 chart_up|📉 chart_down|📊 chart|🗑️ trash|🔒 lock|🔓 unlock|🔑 key|🔨 hammer|🔧 wrench|⚙️ gear|🧪 test|🔬 microscope
💊 pill|🩹 bandage|🎁 gift|🎈 balloon|🏁 finish|🚩 flag|🏳️‍🌈 rainbow_flag|❌ x cross|❓ question|❗ exclamation
⚠️ warning|🚫 prohibited|♻️ recycle|➕ plus|➖ minus|🆗 ok|🆕 new|🔴 red_circle|🟠 orange_circle|🟡 yellow_circle
🟢 green_circle|🔵 blue_circle|⚫ black_circle|⚪ white_circle|⏰ alarm|⏳ hourglass|🚨 siren|🚧 construction|🛑 stop
`;

/** `{emoji, names}` in the order of the table. */
export const EMOJI = TABLE.trim()
  .split(/[|\n]/)
  .map((entry) => entry.trim().split(" "))
  .map(([emoji, ...names]) => ({ emoji, names }));

export const QUICK = EMOJI.slice(0, 6).map((entry) => entry.emoji);

const BY_NAME = new Map(EMOJI.flatMap(({ emoji, names }) => names.map((name) => [name, emoji])));

/** Emoji with a name that begins with `prefix`, then those with it inside, at most `most`. */
export function findEmoji(prefix, most = Infinity) {
  const part = prefix.toLowerCase();
  const begins = EMOJI.filter(({ names }) => names.some((name) => name.startsWith(part)));
  const holds = EMOJI.filter((entry) => !begins.includes(entry) && entry.names.some((name) => name.includes(part)));
  return [...begins, ...holds].slice(0, most);
}

/** `text` with each `:name:` that is known as its emoji. Code is left alone. */
export function withEmoji(text) {
  if (!text.includes(":")) return text;
  return text
    .split(/(```[\s\S]*?(?:```|$)|`[^`\n]*`)/)
    .map((part, index) =>
      index % 2 ? part : part.replace(/(?<![\w:]):([\w+-]+):/g, (all, name) => BY_NAME.get(name) ?? all),
    )
    .join("");
}

/** Whether the text is one to three emoji and nothing else. */
export function isJumbo(text) {
  return text.length <= 40 && /^(?:\s*(?:\p{RGI_Emoji})){1,3}\s*$/v.test(text);
}
