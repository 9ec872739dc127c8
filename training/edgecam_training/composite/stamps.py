"""Which cut-outs of Debian's `tuxpaint-stamps-default` are used, and why the others are not.

The package (Bill Kendrick and contributors, GPL-2) is fetched when it is asked for and never part of
edgecam. Every picture in `CONSIDERED` was looked at. Chosen are photographs of one whole thing, cut out
without the ground it stands on. Drawings stand in folders called `cartoon` and mirrored copies have names
that end in `_mirror`; both are passed over by that. Everything else is named here with its reason.
"""

from pathlib import PurePosixPath
from typing import Final

from edgecam_training.composite.packages import Package

PACKAGE: Final = Package(
    name="tuxpaint-stamps-default",
    pictures="usr/share/tuxpaint/stamps",
    licence="GPL-2",
    holders="Bill Kendrick and the contributors to Tux Paint",
)


def _in(folder: str, *names: str) -> tuple[str, ...]:
    """Paths, from names with blanks between them."""
    return tuple(f"{folder}/{name}" for line in names for name in line.split())


CHOSEN: Final[dict[str, tuple[str, ...]]] = {
    "mammal": (
        *_in(
            "animals/mammals",
            "badger elephant ferret giraffe hippopotamus pig pig_golden pig_golden2 rabbit_little",
            "rhino_black",
        ),
        *_in("animals/mammals/apes", "chimp gorilla tamarin_emperor"),
        *_in("animals/mammals/aquatic", "otter"),
        *_in("animals/mammals/bears", "bear european-bear"),
        *_in(
            "animals/mammals/bovines",
            "bison bull cow cow_white gnu-baby gnu-baby-stand gnu-sitting gnu-stand goat",
            "mountaingoat ram sheep sheep_lamb yak zebu",
        ),
        *_in("animals/mammals/camel", "camel dromedary"),
        *_in("animals/mammals/cats", "lion-2 tiger"),
        *_in("animals/mammals/deer", "caribou deer doe wapiti"),
        *_in("animals/mammals/dogs", "dingo dog"),
        *_in("animals/mammals/equines", "donkey donkey_eating horse zebra"),
        *_in("animals/mammals/rodents", "beaver capybara marmot mouse rabbit rabbit-2 rat squirrel"),
        *_in("animals/marsupials", "kangaroo wombat"),
    ),
    "bird": (
        *_in(
            "animals/birds",
            "adelaide-rosella blackbird chicken_profile crow crowned_crane cuckoo drake duck",
            "gander guineafowl helmeted_guineafowl hen heron_greatblue heron_greatblue_flying lark",
            "little-penguin magellanic_penguin magpie nandou ostrich owl peacock pelican penguin",
            "pigeon pink_flamingo rainbow-lorikeet rooster seagull silver-gull tucan turkey",
            "vulture",
        ),
    ),
    "fruit": (
        *_in(
            "food/fruit",
            "Apricot_whole Cherry_Stella Strawberry2 apple_fuji apple_granny_smith apple_green",
            "apple_red apple_sierra_beauty apricot avocado banana cherimoya grapes kiwi lemon",
            "mandarine mango orange orange_seville pear pineapple pomegranate raspberry",
            "sliced_lime sliced_orange",
        ),
        *_in("plants/trees", "rambutan"),
    ),
    "flower": (
        *_in(
            "plants/flowers",
            "adeenia anemone_red anthoorium bolsom chemparathi daffodil flower1 flower2 flower3",
            "flower4 flower5 flower6 flower7 flower8 flower9 flower10 iris marigold pigface",
            "red-gazania rose whitestar-petunia yellow-flower",
        ),
    ),
    "vegetable": (  # as a greengrocer sorts them: mushrooms and ginger are here
        *_in(
            "food/vegetables",
            "broccoli carrot chilepepper corn eggplant garlic garlics lettuce mushroom onion",
            "pattypan_squash pepper potato pumpkin_small redlettuce tomato yam yellowpepper",
        ),
        *_in("food/spices", "ginger"),
        *_in("plants/mushrooms", "cep cep-1 cep-2"),
    ),
    "sea": (  # what lives in it, whales and shells too
        *_in(
            "animals/fish",
            "bluegroper butterflyfish clownfish coraltrout dolphinfish lionfish lobster moonwrasse",
            "seahorse shrimp stripedfish",
        ),
        *_in("animals/mammals/aquatic", "dolphin orca whale"),
        *_in("animals/shellfish", "abalone"),
    ),
    "vehicle": (
        *_in(
            "vehicles",
            "garbagetruck auto/beetle auto/sedan auto/sportscar2 auto/truck construction/dumper",
            "cycle/pink_tricycle emergency/firetruck flight/planes/747",
            "masstransit/green_korean_bus race/indycar",
        ),
        *_in("military/vehicles", "bradley f22_raptor infantry-stryker ww2_german_gun"),
    ),
    "tool": (
        *_in(
            "household/tools",
            "hammer mallet_metal measuring_tape paintbrush_large plyers saw spade wrench",
            "wrench_adjustable wrench_plumbers",
        ),
        *_in("household/arttools", "scissors_small_closed scissors_small_open"),
    ),
    "instrument": (
        *_in(
            "hobbies/music",
            "brass/trumpet percussion/cymbal_crash percussion/drum_tomtom_floor percussion/drumkit",
            "string/cello string/guitar2 string/guitar_classical string/guitar_electric",
            "string/guitar_electric_bass string/violin wind/bassoon",
        ),
    ),
    "insect": _in("animals/insects", "fly grasshopper hornet hoverfly mantis xanthia"),
}

# Things that belong to none of the classes and do not look like any: what hides a part of an object or
# stands beside it. Balls would pass for fruit, keys for tools, so there are none.
NEUTRAL: Final = (
    *_in("household", "Lightbulb cylinder garbagecan home_compost_bin kettle toilet wheelie_bin"),
    *_in("household/dishes", "mug teapot utensils/pepper_grinder"),
    *_in("hobbies", "binoculars camera_35mm"),
    *_in("seasonal/halloween", "grave-a grave-b grave-d grave-g"),
    *_in("town", "uk_post_box monuments/inukshuk-photo"),
    *_in("town/roadsigns", "dead_end_sign no_entry_sign no_uturn school_sign traffic_cone"),
    *_in("clothes", "clothespin_new"),
    *_in("sports", "trophy_cup"),
)

# Pictures of the same thing, or one picture in two colours: a split gets all of them or none.
KIN: Final = (
    _in("animals/mammals/bovines", "gnu-baby gnu-baby-stand"),
    _in("animals/mammals", "pig_golden pig_golden2"),
    _in("food/fruit", "apple_green apple_red"),
)

CONSIDERED: Final = (
    *_in("animals", "birds fish insects mammals marsupials shellfish"),
    *_in("food", "fruit spices vegetables"),
    *_in("household", "arttools tools"),
    *_in("plants", "flowers mushrooms"),
    *("vehicles", "military/vehicles", "hobbies/music"),
)

LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    "a drawing or a silhouette": (
        *_in("animals/mammals", "echidna hedgehog"),
        *_in("animals/insects", "bee"),
        *_in("vehicles", "7spoke256 emergency/sedan_police flight/balloon360 ship/chineseJunk"),
    ),
    "a toy or made of plastic": (
        *_in("animals/mammals", "bears/toys/edward_bear"),
        *_in("plants/flowers", "plastic/chuvanna_plastic_poo"),
        *_in("vehicles", "ship/walnutBoat"),
    ),
    "cut out together with grass, a branch or what it sits on, so its mask would not be exact": (
        *_in("animals/birds", "albino_peahen quetzal"),
        *_in("animals/mammals", "bovines/indian_blackbuck cats/lion cats/tiger_sumatran dogs/fox"),
        *_in("animals/marsupials", "koala"),
    ),
    "two things at once": _in("animals/mammals", "wildboar"),
    "of the class by its folder only: a slug, a woodlouse, a river mussel, a tuft of seeds": (
        *_in("animals/insects", "Brown_slug Woodlouse"),
        *_in("animals/shellfish", "murray-mussel"),
        *_in("plants/flowers", "appooppanthady"),
    ),
    "a part, or neither clearly in nor out of the class": (
        *_in("animals/mammals/aquatic", "sea_lion"),
        *_in("household/arttools", "highlighter pen_dryerase"),
        *_in("household/tools", "cementmixer toolbox"),
        *_in("vehicles", "wheel_tractor"),
    ),
    "too few pixels": _in("food/fruit", "strawberry"),
}


def passed_over(name: str) -> bool:
    """Whether a name alone says that a stamp is a drawing or a mirrored copy."""
    return "cartoon" in PurePosixPath(name).parts or name.endswith("_mirror")
