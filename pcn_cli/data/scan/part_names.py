"""What people call the parts of a split, as folders and in tables: Training, "test set", val2017, 测试集 …"""

import re
import unicodedata
from collections.abc import Iterable

from pcn_cli.records.photos import Part

_CALLED: dict[Part, str] = {
    "train": "train training trn"
    " trainings entrainement apprentissage entrenamiento treino treinamento addestramento обучение 训练 訓練 学習 훈련",
    "val": "val valid validate validation dev devel development"
    " validierung validierungs validacion validacao validazione валидация 验证 驗證 検証 검증",
    "test": "test testing tst holdout heldout prueba pruebas teste testes тест 测试 測試 テスト 테스트",
}
# Some call the validation so and some the test: it is the test, unless there is one already.
_EITHER = ("eval", "evaluation")
# What may stand beside the word and says nothing; sizes and colours do, as in "small train".
_BESIDE = (
    "images?|imgs?|photos?|pictures?|pics?|files?|data|datasets?|sets?|splits?|parts?|folder|dir|samples?"
    "|seg|cls|classification|x|public|private|jpe?g|png"
    "|daten|datensatz|bilder|fotos?|donnees|datos|dados|dati|集|数据|數據|图片|圖片|データ|画像|데이터"
)


def _plain(text: str) -> str:
    """The text with its accents apart from their letters, and without them, so that é is e."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


_WORDS: dict[str, Part] = {_plain(word): part for part, words in _CALLED.items() for word in words.split()}
_LONGEST = 64  # letters: longer ones may be taken apart in more ways than anyone can try
_PART = re.compile(rf"(?:{_plain(_BESIDE)})*({'|'.join((*_WORDS, *_EITHER))})(?:{_plain(_BESIDE)})*")


def read_parts(names: Iterable[str]) -> dict[str, Part]:
    """The part that each of the names means; names that mean none are left out."""
    letters = {name: own for name in names if len(own := _letters(name)) <= _LONGEST}
    words = {name: found[1] for name, own in letters.items() if (found := _PART.fullmatch(own))}
    parts = {name: _WORDS[word] for name, word in words.items() if word in _WORDS}
    either: Part = "val" if "test" in parts.values() else "test"
    return {name: parts.get(name, either) for name in words}


def speaks_of_part(name: str) -> bool:
    """Whether a word for a part stands in the name, also beside words that say something else, as in trainA."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", _plain(name))
    return any(word.casefold() in _WORDS or word.casefold() in _EITHER for word in words)


def asks_of_part(name: str) -> bool:
    """Whether a column of that name would say yes or no to one part, as is_valid and in_test do."""
    return _letters(name).startswith(("is", "in")) and bool(read_parts([_letters(name)[2:]]))


def _letters(name: str) -> str:
    """The letters of a name in lower case: test1, Test-1 and "test " are all test."""
    return re.sub(r"[\W\d_]+", "", _plain(name).casefold())
