"""A few hundred everyday words of English and Bulgarian, and tool calls about them: text for the tiny tokenizer.

The tiny base is trained on generated tasks only; these rows give its byte-level vocabulary whole words for the recipes
that add function calling, passages and plain chat, so that they need no new tokenizer.
"""

from __future__ import annotations

import json
import random
from typing import Literal

from .rows import Row

ENGLISH = (
    "what is the weather in tomorrow today please book a table for people at find me cheapest flight from to on how "
    "much does it cost send message saying set an alarm remind about convert euro dollars translate into who where "
    "when which why can could would you tell show list add remove open close play stop start next previous first last "
    "hotel room train ticket restaurant city street number name date time price order email phone address weather "
    "calendar meeting music news recipe currency distance temperature morning evening night week month year and or "
    "not I cannot do that with the tools I have need to know missing thank here it has was are were be been this that"
).split()
BULGARIAN = (
    "какво е времето в утре днес моля резервирай маса за души намери най евтин полет от до на колко струва изпрати "
    "съобщение до че настрой аларма напомни ми преобразувай евро лева долара преведи на английски кой къде кога защо "
    "може ли да ми кажеш покажи списък добави премахни отвори затвори пусни спри започни следващ предишен първи "
    "последен хотел стая влак билет ресторант град улица номер име дата час цена поръчка имейл телефон адрес календар "
    "среща музика новини рецепта валута разстояние температура сутрин вечер нощ седмица месец година и или не мога да "
    "направя това с инструментите които имам трябва да знам липсва благодаря ето има беше са София Пловдив Варна "
    "Бургас Русе искам търся нужно ми при през след преди между около"
).split()
KEYS = ("name arguments city date time price query language amount currency from to people email text unit").split()


def demonstrations(split: Literal["pretrain"] = "pretrain", size: int = 1000, seed: int = 0) -> list[Row]:
    """Random words of both languages with a tool call, as SFT rows; for the tokenizer, not to be learned."""
    rng = random.Random(f"{seed}/{split}")
    rows: list[Row] = []
    for index in range(size):
        words = rng.choice((ENGLISH, BULGARIAN))
        sentence = " ".join(rng.choices(words, k=rng.randint(4, 12)))
        arguments = {key: rng.choice(words) for key in rng.sample(KEYS, 2)}
        call = json.dumps({"name": f"get_{rng.choice(ENGLISH)}", "arguments": arguments}, ensure_ascii=False)
        messages = [
            {"role": "user", "content": sentence.capitalize() + rng.choice(".?")},
            {"role": "assistant", "content": f"<tool_call>\n{call}\n</tool_call>"},
        ]
        rows.append({"id": f"everyday/{split}/{index}", "task": "everyday", "messages": messages})
    return rows
