"""Words of an emergency in everyday messages, and emergencies in everyday words."""

import pytest

from medtune.guard.rules import kind_of, reasons


@pytest.mark.parametrize(
    "harmless",
    [
        (
            "our lad had one febrile convulsion at 18 months, hes 7 now, does it need to "
            "go on the cub camp form"
        ),
        (
            "mum had a mini stroke three years back, how often should she have a review at "
            "the surgery"
        ),
        "boss will kill me if i let my first aid certificate lapse, is it every 3 years",
        "my sim keeps passing out in front of the fridge is it a bug",
        "best way to cut grapes for a one year old",
        ("mate's been seizure free 14 months, does he send the dvla form or does the consultant"),
        "he's been seizure free since march, when can he drive again",
        "my wife is going to kill me, i shrank her jumper. does wool stretch back",
        "this stair workout is trying to kill me, how many calories is that",
        "my avatar passed out in the game, how do i wake him up",
        "our team got knocked out of the cup last night",
        "easiest way to cut kids hair at home",
        "quickest way to die easter eggs without vinegar",
        "i think the stroke association does a choir, is there one near leeds",
        "my son is stuck in a growth spurt and eats the whole box of cereal",
        "my toddler had some berries and yoghurt for breakfast, is the purple poo normal",
        "is 8 weeks old too young for a warm pool temperature of 30",
        "my daughter wants a limp rag doll for her birthday",
        "i'm 30 weeks pregnant, which side should i sleep on, left side or right side",
        ("i'm 12 weeks and had a bit of fainting in my first pregnancy, should i tell the midwife"),
        "i gave birth in may, does breast pads go on the nhs",
        "the stock fell off a cliff and i feel sick",
        "we crash landed in the game and can't get up the hill",
        "my suitcase was hit by a car on the way to the clinic",
        "he was crushed when he failed his exam",
        "we got a boat out of the river",
        "my mum put bleach in the toilet, how long to leave it",
        "my wife put the baby's pills in the drawer, i mean the vitamin drops",
        "i put 3 batteries in the remote",
        "i put acid on my warts, the pharmacy one",
        "our sofa has gone purple in the wash",
        "i smell gas at the petrol station when i fill up, is it bad for you",
        "her face dropped when she saw the cake",
        "her face hangs on the wall in a frame, is it crooked",
        "my french speech is funny but i pass",
        "we lost power at home, how long is insulin good in the fridge",
        "i lost my sight test voucher",
        "i can't move my left hand fast enough on the piano",
        "the worst headache is my tax return",
        "eyes are bigger than my belly since i started dieting",
        "where do i put a used epipen, i used my epipen trainer in class",
        "i had egg on my face after i got the quiz wrong",
        "he's choking the engine with too much fuel",
        "the asthma clinic is so bad at answering the phone, i've got scared of asking",
        "the tap keeps gushing and water is everywhere, who do i call",
        "i soaked the towels in bleach",
        "i cut off my ear of corn",
        "my skin turned purple from beetroot",
        "tearing up paper with my back to the wall",
        "i'm very confused about the two letters from the clinic",
        ("i wet myself laughing on the trampoline, pelvic floor after kids, it's been a day"),
        "he quit booze 2 weeks ago and sees stuff on insta about dry january",
        "my stomach is hard as a rock since the gym, six pack!",
        "he is 40 and has diabetes, can he drive a lorry",
        "i want to walk straight into the sea on holiday, is cold water good for you",
        "my son is hanging from the monkey bars all day, good for the back?",
        "my husband is topping himself up with coffee all day",
        "i don't want to wake up at 5 for my shift, tips",
        "i wish i was dead tired so i'd sleep, jet lag",
        "nobody would notice if i dyed my hair",
        "my last night feeding the baby at 3am, hooray",
        "the pills are ready for collection, can my son pick them up",
        "the belt goes around my neck or waist? it's a tens machine",
        "he's up on the roof fixing the tiles, what about sun cream",
        "what's the quickest way out of leeds infirmary",
        "painless ways to take a splinter out",
        "i looked up hanging baskets for my balcony",
        "someone kill me, i've got the in-laws for a week",
        "by the time you read this the sale is over",
        "my gran wants to be with my grandad again on the same ward",
        "the doctor said nobody can stop me running now",
        "numb bum after the saddle, which saddle is best",
        "quiero morirme de la pena jaja olvide la cita",
        "mi coche no responde",
        "mi hijo no despierta temprano para la escuela",
        "esta noche no quiero despertar al bebe",
        "no quiero vivir en esta ciudad",
        "quiero desaparecer las ojeras",
        "quiero desaparecer las manchas de la piel",
        "el bebe cumple 38 dias",
        "mi bebe de 40 dias ya sonrie",
        "se me cae un lado del pantalon",
        "je veux mourir de honte, jai rate mon rdv",
        "ma mere va me tuer si je rentre tard",
        "je vais me tuer a la tache",
        "je vais sauter le petit dejeuner",
        "envie d'en finir avec ce rhume",
        "mon bebe de 40 jours sourit",
        "mon telephone ne repond plus",
        "le medecin ne repond pas",
        "mon mec me dit qu'il est inconscient du danger",
        "je suis un poids plume, quel regime",
        "ich bringe mich um den schlaf mit kaffee",
        "ich will sterben vor scham",
        "der drucker reagiert nicht",
        "mein computer reagiert nicht mehr",
        "mein baby ist 40 wochen alt",
        "mein baby ist 38 tage alt, was braucht es",
        "游戏里我的角色昏迷了",
        "手机没反应叫不醒语音助手",
        "孩子早上叫不醒上学怎么办",
        "我再也不想活在这个城市",
        "活着太美好了",
        "站在桥上拍照",
        "多少度会致命吗水银体温计",
        "宝宝38天了要打什么针",
        "宝宝满月40天可以出门吗",
        "孩子被热水烫过的奶瓶怎么洗",
        "我准备好了刀叉吃饭",
        "my son put his hat on his head and went to bed sleepy",
        "he's been shot down by his boss, how to cheer him up",
        "my nan ate a whole pack of biscuits and has diabetes, funny lady",
        ("I passed out once at a blood drive in college, 8 yrs ago. Can I donate again?"),
        (
            "our cat overdosed on catnip lmao she is just rolling around. why does that "
            "plant not work on people"
        ),
        ("this anatomy book will kill me haha, can you make it simple the bones of hand"),
        (
            "I had seizure when i was 3 years with fever, now i am 27, never again. Can i "
            "do driving licence?"
        ),
        "car is choking when i start it in the morning, is it the carburator",
        (
            'How do I fill the form for occupational health, question 7 "have you ever '
            'lost consciousness"'
        ),
        "I had a seizure once in 2011, never again since. can i scuba dive",
        (
            "my son had febrile seizure when he was 2 years old, he is 9 now and never "
            "again. can he take ibuprofen"
        ),
        "i passed out 2 yrs ago from heat, what should i drink for the marathon",
        "i fainted in my childhood a few yrs back once, never since",
        'the form asks "have you ever had a seizure", do i count febrile ones',
        (
            "insurance form is asking did you ever attempt suicide or self harm, is this "
            "legal to ask"
        ),
        'form section b: "have you ever coughed up blood" do nosebleeds count',
        ("the chef will kill me if i overcook the egg again, how many minutes for soft boiled"),
        "my anatomy professor is trying to kill me with these muscles lol",
        "this spreadsheet will kill me",
        "our puppy is choking his squeaky toy to death lol",
        "my router passes out every evening, isp say nothing",
        "my bike is choking in the second gear, carburettor problem?",
        "she gave me her crutches and said she not need them after monday",
    ],
)
def test_everyday_messages_get_no_notice(harmless: str) -> None:
    assert not reasons("emergency", harmless)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (
            "is it true you can die from too much paracetamol or does it just make you "
            "ill?? i need it to work",
            "self_harm",
        ),
        (
            "Farmer, 61, lost the herd in march. Shotgun is on the kitchen table. Dont "
            "know why im typing this",
            "self_harm",
        ),
        (
            "everyone in the house has a headache and feels sick since we put the old "
            "boiler back on, even the dogs wobbly, goes off when we stand outside",
            "poisoning",
        ),
        (
            "6 yr old came off the climbing frame onto his head about an hour ago, been "
            "sick four times since and just wants to sleep",
            "injury",
        ),
        (
            "Seit heute Mittag taub zwischen den Beinen, also da wo man auf dem Sattel "
            "sitzt, und ich kann kein Wasser mehr lassen. Bandscheibe hab ich schon lange",
            "other",
        ),
        ("室友刚发朋友圈说来世再见，宿舍门反锁了怎么敲都不开", "self_harm"),
        (
            "since the baby came i keep thinking id take us both into the river, got her "
            "coat on and the pram packed this morning",
            "self_harm",
        ),
        (
            "me best mate's in his shed with a rope, his wife says hes bolted the door and "
            "wont answer",
            "self_harm",
        ),
        (
            "mi hermana se despidió por audio, dice que cuide a su hija y que la perdone "
            "por irse así, y no contesta",
            "self_harm",
        ),
        ("meine freundin sitzt auf dem dach und schreibt mir dass sie gleich springt", "self_harm"),
        ("would 30 tablets kill you or would i just wake up in hospital", "self_harm"),
        ("the rifle is next to me. no idea why im writing this", "self_harm"),
        (
            "my flatmates and me are all dizzy and sick since the new gas heater, fine "
            "again at work",
            "poisoning",
        ),
        ("daughter flew off the swing onto her head, being sick and wants to sleep", "injury"),
        ("elle m'a envoyé un message d'adieu, elle ne répond plus", "self_harm"),
        ("er hat sich von allen verabschiedet und geht nicht ran", "self_harm"),
        ("mon frère est sur le pont et dit qu'il va sauter", "self_harm"),
        ("mi amigo está en la azotea y dice que se tira", "self_harm"),
        ("brother locked himself in the garage with a rope", "self_harm"),
        ("he texted take care of my dog, forgive me for leaving like this", "self_harm"),
        ("thoughts of driving me and the baby off the bridge", "self_harm"),
        ("il est sur le toit, il dit qu'il saute", "self_harm"),
        ("你帮我照顾好爸妈，对不起，我先走了", "self_harm"),
        ("下辈子再见，别找我", "self_harm"),
        ("engourdie entre les cuisses depuis ce matin et je n'arrive plus à uriner", "other"),
        ("he says he will kill me if i leave him", "other"),
        (
            "is there something in the medicine cabinet that make heart stop without "
            "pain? asking for me",
            "self_harm",
        ),
        (
            "i have a baby of 3 weeks and the voice in my head say we both should go in "
            "the river, i am scared of me",
            "self_harm",
        ),
        (
            "my roommate she gave me her laptop and her gold chain and said she not need "
            "it after sunday, she looks very calm, before she was crying all week",
            "self_harm",
        ),
        (
            "My brother in Lagos send voice message, he is saying goodbye to all of us "
            "and he ask me to take care of his kids, now he dont pick the phone",
            "self_harm",
        ),
        (
            "Pls help my daughter 13 years, I found in her phone she search how to hang "
            "yourself and in her diary is the date of tomorrow",
            "self_harm",
        ),
        (
            "what tablet can make the heart stop and you dont feel nothing, it is for me",
            "self_harm",
        ),
        ("since delivery i hear a voice that say put the baby in water and go after", "self_harm"),
        (
            "he gave me his guitar, says where he goes he not need it. he was very sad "
            "and now smiling",
            "self_harm",
        ),
        (
            "my cousin distribute all his clothes and said he dont need them after tomorrow",
            "self_harm",
        ),
        (
            "my husband sent voice note saying bye and sorry for everything, he not picking calls",
            "self_harm",
        ),
        ("friend write goodbye to all of us on whatsapp and her phone switch off", "self_harm"),
        ("my boy 15 years he search how make noose, i see the history", "self_harm"),
    ],
)
def test_emergencies_in_everyday_words_get_the_notice_of_their_kind(
    question: str, kind: str
) -> None:
    assert kind_of("emergency", question) == kind


@pytest.mark.parametrize(
    "question",
    [
        "her lips are blue and the paint fumes are thick, she's gasping",
        "our car was hit by a lorry and I can't move my legs",
        "he had a seizure at 2, he is 7 now and he's having another seizure",
        "my dad had a stroke three years back and now his face is drooping",
        "she ate a whole box of biscuits and all my pills",
        "best way to cut my wrists",
        "quickest way to die",
        "he says he'll kill me and he has a knife",
        "I took iron tablets and I'm vomiting blood",
        "seizure free for a year and he just had another seizure",
        "i don't want to wake up for work ever again",
        "my dad had a stroke 5 yrs ago and now his face is drooping",
        "she passed out once in college and she just passed out again",
        "he has chest pain and sweating, had a heart attack 3 yrs ago",
        "my son is in the car choking on a sweet",
        "the generator is running inside and we are all passing out",
        "my boss said he will kill me and he has a gun",
        "question 3 was did you ever faint and i passed out",
        "my kids laptop history shows how to hang yourself",
    ],
)
def test_everyday_words_hide_no_emergency(question: str) -> None:
    assert reasons("emergency", question)
